/** Labels of folders of music: made once, kept in shards, checked when they are read. */

export { type Recording, recordingOf, type Span } from '../data/recording.ts';
export { type CropGrid, type CropLabels, labelsOfCrops } from './crops.ts';
export { labelsOfCodec, loadCodecTeacher } from './encodec.ts';
export { hashTeacher } from './hash.ts';
export { loadTeacher, type TeacherName, teacherNames } from './load.ts';
export { type LabelEntry, LabelError, type LabelsHeader } from './manifest.ts';
export { type Labels, openLabels } from './read.ts';
export { labelsOfRvq, loadRvqTeacher } from './rvq.ts';
export {
  type CropTeacher,
  defineTeacher,
  frameCountOf,
  labelRecording,
  type Teacher,
  type TeacherDescription,
} from './teacher.ts';
export { type LabelEvent, type LabelOptions, type LabelResult, labelFolder } from './write.ts';
