/** What a schema found wrong, in words: what was expected and what was there. */
import type { z } from 'zod';

const nouns: Record<string, string> = {
  number: 'a number',
  int: 'an integer',
  string: 'a string',
  boolean: 'true or false',
  array: 'a list',
  tuple: 'a list',
  object: 'a section of keys',
};

/** @param value - what stands at the issue's path. */
export function describeIssue(issue: z.core.$ZodIssue, value: unknown): string {
  const found = value === undefined ? 'it is missing' : `got ${show(value)}`;
  switch (issue.code) {
    case 'invalid_type':
      return `expected ${nouns[issue.expected] ?? issue.expected}, ${found}`;
    case 'invalid_value':
      return `expected ${issue.values.map((allowed) => JSON.stringify(allowed)).join(' or ')}, ${found}`;
    case 'too_small':
      return sized(issue.inclusive ? '>=' : '>', issue.minimum, value);
    case 'too_big':
      return sized(issue.inclusive ? '<=' : '<', issue.maximum, value);
    default:
      return issue.code === 'custom' ? `${issue.message}, ${found}` : issue.message;
  }
}

/** The value at a path inside nested objects and lists; undefined where there is none. */
export function valueAt(root: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (inside, key) => (inside as Record<PropertyKey, unknown> | undefined | null)?.[key],
    root,
  );
}

function sized(relation: string, bound: number | bigint, value: unknown): string {
  if (Array.isArray(value)) {
    // Every list here has a fixed length.
    return `expected a list of ${bound} values, got ${value.length}: ${show(value)}`;
  }
  return `expected a number ${relation} ${bound}, got ${show(value)}`;
}

function show(value: unknown): string {
  if (value === null) {
    return 'nothing';
  }
  if (typeof value === 'string') {
    return `the string ${JSON.stringify(value)}`;
  }
  if (typeof value === 'object' && !Array.isArray(value)) {
    return 'a section of keys';
  }
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}
