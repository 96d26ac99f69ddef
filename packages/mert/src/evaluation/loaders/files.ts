/** Reading the tables that data sets come with. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { LayoutError, worthless } from '../data.ts';
import type { Task } from '../tasks.ts';

/** The first of some places, relative to a folder, that exists. @throws LayoutError that names them. */
export function findFirst(task: Task, folder: string, places: readonly string[]): string {
  const found = places.map((place) => join(folder, place)).find((path) => existsSync(path));
  if (found === undefined) throw new LayoutError(task, folder, [places.join(' or ')], worthless);
  return found;
}

/** A folder in a folder whose name begins so. @throws LayoutError */
export function findFolder(task: Task, folder: string, prefix: string): string {
  const name = readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.name.toLowerCase().startsWith(prefix) && !entry.name.includes('.zip'))
    .map((entry) => entry.name)
    .sort()[0];
  if (name === undefined) throw new LayoutError(task, folder, [`${prefix}*/`], worthless);
  return join(folder, name);
}

/** The lines of a text, without those that hold nothing. @throws LayoutError when the file is not there. */
export function readLines(task: Task, folder: string, path: string): string[] {
  if (!existsSync(path)) throw new LayoutError(task, folder, [path], worthless);
  return readFileSync(path, 'utf8')
    .split(/\r?\n/)
    .filter((line) => line.trim() !== '');
}

/** The fields of a line of comma- or tab-separated values; quotes may hold separators. */
export function fieldsOf(line: string, separator: string): string[] {
  const fields: string[] = [];
  let [field, quoted] = ['', false];
  for (let i = 0; i < line.length; i++) {
    const c = line[i];
    if (quoted) {
      if (c !== '"') field += c;
      else if (line[i + 1] === '"') field += line[++i];
      else quoted = false;
    } else if (c === '"' && field === '') quoted = true;
    else if (c === separator) {
      fields.push(field);
      field = '';
    } else field += c;
  }
  return [...fields, field].map((own) => own.trim());
}

/**
 * A table whose first line names its columns.
 *
 * @throws Error when a column is missing, or a line has too few fields; LayoutError when the file is not there.
 */
export function readTable(
  task: Task,
  folder: string,
  path: string,
  separator: ',' | '\t',
  columns: readonly string[],
): Record<string, string>[] {
  const [head, ...lines] = readLines(task, folder, path);
  const names = fieldsOf(head ?? '', separator);
  const lost = columns.filter((column) => !names.includes(column));
  if (lost.length > 0) {
    throw new Error(
      `${path}: has no column ${lost.map((name) => `“${name}”`).join(', ')}; its first line should name ${columns.slice(0, 6).join(', ')}${columns.length > 6 ? ', …' : ''}`,
    );
  }
  const last = Math.max(...columns.map((column) => names.indexOf(column)));
  return lines.map((line, i) => {
    const fields = fieldsOf(line, separator);
    if (fields.length <= last) {
      throw new Error(`${path}:${i + 2}: has ${fields.length} fields; expected ${names.length}, as in the first line`);
    }
    return Object.fromEntries(names.map((name, k) => [name, fields[k] ?? '']));
  });
}

/** A number of a table. @throws Error */
export function numberOf(text: string, where: string): number {
  const value = Number(text);
  if (text === '' || !Number.isFinite(value)) throw new Error(`${where}: “${text}” is no number`);
  return value;
}
