/** Audio in parquet files, as Hugging Face's data sets keep it: a column of `{ bytes, path }`, or of bytes. */
import { open, stat } from 'node:fs/promises';
import { type AsyncBuffer, type FileMetaData, parquetMetadataAsync, parquetReadObjects } from 'hyparquet';

interface Opened {
  file: AsyncBuffer;
  metadata: FileMetaData;
  /** Column of audio, and of its path where there is one. */
  column: string;
  rows: number;
}

async function bufferOf(path: string): Promise<AsyncBuffer> {
  const { size } = await stat(path);
  return {
    byteLength: size,
    async slice(start, end = size) {
      const file = await open(path, 'r');
      try {
        const bytes = new Uint8Array(end - start);
        let filled = 0;
        while (filled < bytes.length) {
          const { bytesRead } = await file.read(bytes, filled, bytes.length - filled, start + filled);
          if (bytesRead === 0) throw new Error(`${path}: ends at byte ${start + filled}`);
          filled += bytesRead;
        }
        return bytes.buffer;
      } finally {
        await file.close();
      }
    },
  };
}

/** The top-level column that holds audio: one of `{ bytes, … }`, else one of bytes, named audio where there are several. */
function audioColumn(path: string, { schema }: FileMetaData): string {
  const structs: string[] = [];
  const plain: string[] = [];
  for (let i = 1; i < schema.length; ) {
    const { name, num_children: children = 0, type, converted_type: converted } = schema[i];
    let end = i + 1;
    for (let open = children; open > 0; end++) open += (schema[end].num_children ?? 0) - 1;
    const own = schema.slice(i + 1, end);
    if (own.some((field) => field.name === 'bytes' && field.type === 'BYTE_ARRAY')) structs.push(name);
    if (children === 0 && type === 'BYTE_ARRAY' && converted !== 'UTF8' && converted !== 'JSON') plain.push(name);
    i = end;
  }
  const found = structs.length > 0 ? structs : plain;
  if (found.length === 1) return found[0];
  const named = found.find((name) => name === 'audio');
  if (named) return named;
  throw new Error(
    `${path}: ${found.length === 0 ? 'no column holds audio' : `columns ${found.join(', ')} might hold audio`}; expected ` +
      'a column "audio" of { bytes, path }, as Hugging Face’s data sets have it',
  );
}

const opened = new Map<string, Promise<Opened>>();
const KEPT = 16;

function openParquet(path: string): Promise<Opened> {
  let found = opened.get(path);
  if (found) return found;
  found = (async () => {
    const file = await bufferOf(path);
    let metadata: FileMetaData;
    try {
      metadata = await parquetMetadataAsync(file);
    } catch (cause) {
      throw new Error(`${path}: is no parquet file that can be read: ${(cause as Error).message}`, { cause });
    }
    return { file, metadata, column: audioColumn(path, metadata), rows: Number(metadata.num_rows) };
  })();
  if (opened.size >= KEPT) opened.delete(opened.keys().next().value as string);
  opened.set(path, found);
  found.catch(() => opened.delete(path));
  return found;
}

/** How many pieces of audio a parquet file holds, and in which column. */
export async function parquetIndex(path: string): Promise<{ rows: number; column: string }> {
  const { rows, column } = await openParquet(path);
  return { rows, column };
}

/** Row groups whose bytes are kept: neighbouring rows are read together. */
const groups = new Map<string, Promise<(Uint8Array | undefined)[]>>();
const KEPT_GROUPS = 2;

/** The bytes of some rows; of those that hold none, nothing. */
async function readGroup(
  path: string,
  first: number,
  end: number,
  column: string,
): Promise<(Uint8Array | undefined)[]> {
  const { file, metadata } = await openParquet(path);
  const { compressors } = await import('hyparquet-compressors');
  const rows = await parquetReadObjects({
    file,
    metadata,
    columns: [column],
    rowStart: first,
    rowEnd: end,
    compressors,
    // Bytes stay bytes.
    utf8: false,
    useOffsetIndex: true,
  });
  return rows.map((row) => {
    const value = row[column] as { bytes?: unknown } | Uint8Array | null;
    const bytes = value instanceof Uint8Array ? value : value?.bytes;
    return bytes instanceof Uint8Array ? bytes : undefined;
  });
}

/**
 * The bytes of one row. Where the file has an index of its pages, those of the row are read alone; else its row group is
 * read and kept, so that neighbours come cheaper.
 */
export async function readRowBytes(path: string, row: number, column: string): Promise<Uint8Array> {
  const { metadata } = await openParquet(path);
  const found = (bytes: Uint8Array | undefined): Uint8Array => {
    if (!bytes) throw new Error(`${path}: row ${row} holds no audio, its bytes are null`);
    return bytes;
  };
  let first = 0;
  for (const group of metadata.row_groups) {
    const end = first + Number(group.num_rows);
    if (row < end) {
      if (group.columns.some((chunk) => chunk.offset_index_offset !== undefined)) {
        return found((await readGroup(path, row, row + 1, column))[0]);
      }
      const key = `${path}:${first}:${column}`;
      let rows = groups.get(key);
      groups.delete(key);
      rows ??= readGroup(path, first, end, column);
      if (groups.size >= KEPT_GROUPS) groups.delete(groups.keys().next().value as string);
      groups.set(key, rows);
      rows.catch(() => groups.delete(key));
      return found((await rows)[row - first]);
    }
    first = end;
  }
  throw new Error(`${path}: has no row ${row}`);
}
