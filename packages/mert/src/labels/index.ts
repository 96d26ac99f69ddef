/** Labels of folders of music: made once, kept in shards, checked when they are read. */

export { type LabelEntry, LabelError, type LabelsHeader } from './manifest.ts';
export { type Labels, openLabels } from './read.ts';
export {
  defineTeacher,
  frameCountOf,
  hashTeacher,
  type Teacher,
  type TeacherDescription,
  type Track,
  trackOf,
} from './teacher.ts';
export { type LabelEvent, type LabelOptions, type LabelResult, labelFolder } from './write.ts';
