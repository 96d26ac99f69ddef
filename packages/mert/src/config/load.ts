/** Configurations from presets, YAML files and command-line options. */
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { z } from 'zod';
import { crossChecks, type Path } from './checks.ts';
import { describeIssue, valueAt } from './issues.ts';
import { fileLayer, type Layer, optionLayer, type Problem } from './layers.ts';
import { configSchema, type PretrainConfig, sections } from './schema.ts';
import { nearest } from './suggest.ts';

/** Where a configuration comes from; later sources cover earlier ones. */
export type ConfigSources = {
  /** Name of a preset, see `presets`. */
  preset?: string;
  /** Path of a YAML file, which covers the preset. */
  file?: string;
  /** Options `section.field=value` with the value in YAML, which cover the file; later ones cover earlier ones. */
  set?: readonly string[];
};

type Fields = Record<string, Record<string, unknown>>;

const presetFolder = new URL('../../configs/', import.meta.url);

/** Names of the presets that come with this package, sorted. */
export function presets(): string[] {
  return readdirSync(presetFolder)
    .filter((name) => name.endsWith('.yaml'))
    .map((name) => name.slice(0, -'.yaml'.length))
    .sort();
}

/**
 * Reads a pretraining configuration: defaults, covered by the preset, the file and the options in turn, field by field.
 *
 * @throws with one line for each problem found: `file:line:column key: message` in files, `--set option: message` in
 * options. The error's name is ConfigError.
 */
export function loadConfig({ preset, file, set = [] }: ConfigSources = {}): PretrainConfig {
  const layers: Layer[] = [];
  if (preset !== undefined) {
    layers.push(fileLayer(presetPath(preset)));
  }
  if (file !== undefined) {
    layers.push(fileLayer(file));
  }
  layers.push(...set.map(optionLayer));

  const merged: Fields = {};
  const found: Problem[][] = [];
  const wrong: Path[] = [];
  for (const layer of layers) {
    const { problems, paths } = checkLayer(layer);
    found.push([...layer.problems, ...problems]);
    wrong.push(...paths);
    cover(merged, layer.value, paths);
  }
  // With wrong fields left out, the rest can still be compared with each other.
  const config = configSchema.parse(merged);
  for (const { paths, problem } of crossChecks) {
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

function presetPath(preset: string): string {
  const known = presets();
  if (!known.includes(preset)) {
    const near = nearest(preset, known);
    const hint = near === undefined ? '' : `did you mean "${near}"? `;
    throw configError(`there is no preset "${preset}"; ${hint}known: ${known.join(', ')}`);
  }
  return fileURLToPath(new URL(`${preset}.yaml`, presetFolder));
}

/** The problems of one layer by itself, and the fields that must not be used because of them. */
function checkLayer({ value, locate }: Layer): { problems: Problem[]; paths: Path[] } {
  const problems: Problem[] = [];
  const paths: Path[] = [];
  for (const issue of configSchema.safeParse(value).error?.issues ?? []) {
    if (issue.code === 'unrecognized_keys') {
      for (const key of issue.keys) {
        const { message, meant } = unknownKey(issue, key);
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

function unknownKey({ path }: z.core.$ZodIssueUnrecognizedKeys, key: string): { message: string; meant: Path[] } {
  const section = path[0] as keyof typeof sections | undefined;
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
