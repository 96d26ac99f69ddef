/** The 14 music-understanding tasks of the MERT paper: data sets, metrics, probes and reports. */
export { type BeatDecoderOptions, decodeBeats, decodeDownbeats } from './beats/decode.ts';
export { type Clip, LayoutError, type TaskData, type TaskLoadOptions } from './data.ts';
export { type EvaluateOptions, type EvaluationReport, evaluate, type TaskReport } from './evaluate.ts';
export { type ExtractOptions, extractFeatures, hashOfData, StoppedError } from './features/extract.ts';
export {
  type ControlName,
  controlNames,
  controlSource,
  type FeatureSource,
  mertSource,
  openSource,
  randomSource,
} from './features/source.ts';
export { type ClipRows, FeatureTable, type PartIndex } from './features/table.ts';
export { findTasks, loadTask } from './loaders/index.ts';
export * from './metrics/index.ts';
export { isTaskName, type Split, type StemName, splits, stemNames, type TaskName, taskNames } from './names.ts';
export { type LayerChoice, type LayerScore, type ProbeOptions, type ProbeResult, probe } from './probe/probe.ts';
export type { Scores } from './probe/scores.ts';
export {
  type BeatSettings,
  type ProbeSettings,
  paperRates,
  paperSettings,
  quickSettings,
  type SeparationSettings,
} from './probe/settings.ts';
export {
  checkHeldOut,
  isProxyFolder,
  type Proxy,
  type ProxyClip,
  type ProxyDescription,
  proxyClipSchema,
  proxyDescriptionSchema,
  readProxy,
} from './proxy.ts';
export { type PublishedModel, published, publishedModels, publishedSource } from './published.ts';
export { htmlReport } from './report/html.ts';
export { markdownReport, type TableRow, tableRows, terminalTable } from './report/table.ts';
export { type Task, type TaskKind, taskOf, tasks } from './tasks.ts';
