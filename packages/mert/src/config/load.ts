/** Configurations from presets, YAML files and command-line options. */
import type { z } from 'zod';
import { presetNames, presetPath } from '#files';
import { type CrossCheck, crossChecks, type Path } from './checks.ts';
import { describeIssue, valueAt } from './issues.ts';
import { fileLayer, type Layer, optionLayer, type Problem } from './layers.ts';
import { configSchema, type PretrainConfig, sections } from './schema.ts';
import { nearest } from './suggest.ts';

/** Where a configuration comes from; later sources cover earlier ones. */
export type ConfigSources = {
  /** A configuration to begin with, in the place of the defaults, e.g. that of a run. */
  base?: unknown;
  /** Name of a preset, see `presets`. */
  preset?: string;
  /** Path of a YAML file, which covers the preset. */
  file?: string;
  /** Options `section.field=value` with the value in YAML, which cover the file; later ones cover earlier ones. */
  set?: readonly string[];
};

type Fields = Record<string, Record<string, unknown>>;

/** A kind of configuration: sections of fields, all with defaults. */
export interface ConfigKind<C> {
  schema: z.ZodType<C>;
  /** The sections by name: what may stand in a file. */
  sections: Readonly<Record<string, z.ZodObject>>;
  crossChecks: readonly CrossCheck<C>[];
  /** Folder of the presets within the package, one YAML file each. */
  presetFolder: string;
  /** Fields by names that they had before. */
  renamed?: Readonly<Record<string, string>>;
}

/** The configuration of `mert pretrain`. */
const pretraining: ConfigKind<PretrainConfig> = {
  schema: configSchema,
  sections,
  crossChecks,
  presetFolder: 'configs',
  renamed: { 'training.checkpointEvery': 'checkpoint.every' },
};

/** A layer whose fields have the names of today; places are those of the names that were written. */
function renameFields({ value, problems, locate }: Layer, renamed: Readonly<Record<string, string>>): Layer {
  const names = Object.entries(renamed).map(([before, now]) => ({ before: before.split('.'), now: now.split('.') }));
  const found = names.filter(({ before }) => valueAt(value, before) !== undefined);
  if (found.length === 0) return { value, problems, locate };
  const fields = structuredClone(value) as Fields;
  for (const { before, now } of found) {
    const setting = valueAt(fields, before);
    delete fields[before[0]][before[1]];
    fields[now[0]] = { [now[1]]: setting, ...fields[now[0]] };
  }
  const written = (path: Path): Path => found.find(({ now }) => now.every((key, i) => path[i] === key))?.before ?? path;
  return { value: fields, problems, locate: (path, part) => locate(written(path), part) };
}

/** What an older version wrote as its configuration, under the names of today. */
export const renamePretraining = (config: unknown): unknown =>
  renameFields({ value: config, problems: [], locate: () => ({ text: '', order: 0 }) }, pretraining.renamed ?? {})
    .value;

/** Names of the presets of a kind of configuration, sorted. */
export const presetsOf = ({ presetFolder }: Pick<ConfigKind<never>, 'presetFolder'>): string[] =>
  presetNames(presetFolder);

/** Names of the presets that come with this package, sorted. */
export const presets = (): string[] => presetsOf(pretraining);

/**
 * Reads a pretraining configuration: defaults, covered by the preset, the file and the options in turn, field by field.
 *
 * @throws with one line for each problem found: `file:line:column key: message` in files, `--set option: message` in
 * options. The error's name is ConfigError.
 */
export const loadConfig = (sources: ConfigSources = {}): PretrainConfig => loadKind(pretraining, sources);

/** Reads a configuration of any kind, as `loadConfig` does. */
export function loadKind<C>(kind: ConfigKind<C>, { base, preset, file, set = [] }: ConfigSources = {}): C {
  const layers: Layer[] = [];
  if (base !== undefined) {
    layers.push({ value: base, problems: [], locate: () => ({ text: 'configuration of the run', order: 0 }) });
  }
  if (preset !== undefined) {
    layers.push(fileLayer(knownPreset(kind, preset)));
  }
  if (file !== undefined) {
    layers.push(fileLayer(file));
  }
  layers.push(...set.map(optionLayer));
  layers.splice(0, layers.length, ...layers.map((layer) => renameFields(layer, kind.renamed ?? {})));

  const merged: Fields = {};
  const found: Problem[][] = [];
  const wrong: Path[] = [];
  for (const layer of layers) {
    const { problems, paths } = checkLayer(kind, layer);
    found.push([...layer.problems, ...problems]);
    wrong.push(...paths);
    cover(merged, layer.value, paths);
  }
  // With wrong fields left out, the rest can still be compared with each other.
  const config = kind.schema.parse(merged);
  for (const { paths, problem } of kind.crossChecks) {
    const message = paths.some((path) => wrong.some((bad) => isInside(path, bad))) ? undefined : problem(config);
    if (message !== undefined) {
      const top = layers.findLastIndex(({ value }) => paths.some((path) => valueAt(value, path) !== undefined));
      const path = paths.find((candidate) => valueAt(layers[top]!.value, candidate) !== undefined)!;
      found[top]!.push({ place: layers[top]!.locate(path, 'value'), message });
    }
  }
  const lines = found.flatMap((problems) =>
    problems.sort((a, b) => a.place.order - b.place.order).map(({ place, message }) => `${place.text}: ${message}`),
  );
  if (lines.length > 0) {
    throw configError(lines.join('\n'));
  }
  return config;
}

function knownPreset(kind: Pick<ConfigKind<never>, 'presetFolder'>, preset: string): string {
  const known = presetsOf(kind);
  if (!known.includes(preset)) {
    const near = nearest(preset, known);
    const hint = near === undefined ? '' : `did you mean "${near}"? `;
    throw configError(`there is no preset "${preset}"; ${hint}known: ${known.join(', ')}`);
  }
  return presetPath(kind.presetFolder, preset);
}

/** The problems of one layer by itself, and the fields that must not be used because of them. */
function checkLayer<C>(
  { schema, sections }: ConfigKind<C>,
  { value, locate }: Layer,
): { problems: Problem[]; paths: Path[] } {
  const problems: Problem[] = [];
  const paths: Path[] = [];
  for (const issue of schema.safeParse(value).error?.issues ?? []) {
    if (issue.code === 'unrecognized_keys') {
      for (const key of issue.keys) {
        const { message, meant } = unknownKey(sections, issue, key);
        problems.push({ place: locate([...issue.path, key], 'key'), message });
        // The field that was probably meant keeps its default, which proves nothing about the others.
        paths.push([...issue.path, key], ...meant);
      }
    } else {
      problems.push({ place: locate(issue.path, 'value'), message: describeIssue(issue, valueAt(value, issue.path)) });
      paths.push(issue.path);
    }
  }
  return { problems, paths };
}

function unknownKey(
  sections: ConfigKind<never>['sections'],
  { path }: z.core.$ZodIssueUnrecognizedKeys,
  key: string,
): { message: string; meant: Path[] } {
  const section = path[0] as string | undefined;
  const here = Object.keys(section === undefined ? sections : sections[section].shape);
  const sibling = nearest(key, here);
  if (sibling !== undefined) {
    return { message: `unknown key "${key}"; did you mean "${sibling}"?`, meant: [[...path, sibling]] };
  }
  const fields = Object.entries(sections).flatMap(([name, { shape }]) =>
    Object.keys(shape).map((field) => ({ name, field })),
  );
  const leaf = key.split('.').at(-1)!;
  const best = nearest(
    leaf,
    fields.map(({ field }) => field),
  );
  if (best !== undefined) {
    const places = fields.filter(({ field }) => field === best);
    const names = places.map(({ name }) => `"${name}"`).join(' or ');
    return {
      message: `unknown key "${key}"; did you mean "${best}" in section ${names}?`,
      meant: places.map(({ name, field }) => [name, field]),
    };
  }
  return { message: `unknown key "${key}"; known here: ${here.join(', ')}`, meant: [] };
}

/** Puts the fields of a layer over those of `target`, except the ones at `wrong` paths. */
function cover(target: Fields, value: unknown, wrong: Path[]): void {
  if (wrong.some((path) => path.length === 0)) {
    return;
  }
  for (const [section, fields] of Object.entries(value as Fields)) {
    for (const [field, setting] of Object.entries(fields ?? {})) {
      if (!wrong.some((path) => isInside([section, field], path))) {
        target[section] = { ...target[section], [field]: setting };
      }
    }
  }
}

/** Whether a field is what a path names, or lies inside it, or holds it. */
function isInside(field: Path, path: Path): boolean {
  return path.slice(0, field.length).every((key, index) => key === field[index]);
}

function configError(message: string): Error {
  return Object.assign(new Error(message), { name: 'ConfigError' });
}
