/** Shards that are read from, and their bytes as labels. */
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { entryBytes, type LabelEntry, LabelError, type Manifest, shardName } from './manifest.ts';

/** Shards that are held open at once. */
const OPEN_SHARDS = 64;

/** Reads shards, which stay open for the next read. */
interface OpenShards {
  /** @throws LabelError when the shard ends before. */
  read(shard: number, offset: number, bytes: number): Promise<Buffer>;
  close(): Promise<void>;
}

function openShards(folder: string): OpenShards {
  const handles = new Map<number, Promise<FileHandle>>();
  const get = (shard: number): Promise<FileHandle> => {
    let handle = handles.get(shard);
    if (handle) handles.delete(shard);
    else {
      handle = open(join(folder, shardName(shard)), 'r');
      handle.catch(() => handles.delete(shard));
    }
    handles.set(shard, handle);
    if (handles.size > OPEN_SHARDS) {
      const [[oldest, dropped]] = handles;
      handles.delete(oldest);
      // Reads that are on their way end first.
      dropped.then((file) => file.close()).catch(() => {});
    }
    return handle;
  };
  return {
    async read(shard, offset, bytes) {
      const file = await get(shard);
      const buffer = Buffer.allocUnsafe(bytes);
      for (let filled = 0; filled < bytes; ) {
        const { bytesRead } = await file.read(buffer, filled, bytes - filled, offset + filled);
        if (bytesRead === 0) {
          throw new LabelError(`${join(folder, shardName(shard))}: ends at byte ${offset + filled}; labels are lost`);
        }
        filled += bytesRead;
      }
      return buffer;
    },
    async close() {
      for (const handle of handles.values()) await (await handle).close();
      handles.clear();
    },
  };
}

/** Bytes of a shard as labels [frames, codebooks], each found to be in its codebook. */
function decodeLabels({ header }: Manifest, entry: LabelEntry, bytes: Buffer, firstFrame: number): Int32Array {
  const { codebooks } = header.teacher;
  const labels = new Int32Array(bytes.length / header.bytesPerLabel);
  for (let i = 0; i < labels.length; i++) {
    labels[i] = header.bytesPerLabel === 1 ? bytes[i] : bytes.readUInt16LE(2 * i);
    const codebook = i % codebooks.length;
    if (labels[i] >= codebooks[codebook]) {
      throw new LabelError(
        `${entry.path}: label ${labels[i]} at frame ${firstFrame + Math.floor(i / codebooks.length)} is not in codebook ` +
          `${codebook}, which has ${codebooks[codebook]}: ${shardName(entry.shard)} is damaged; make the labels again`,
      );
    }
  }
  return labels;
}

/** Reads labels of a folder. */
export interface LabelReader {
  /**
   * Labels of some frames of a file, [frames, codebooks], and the bytes that they are.
   *
   * @throws LabelError when the shard ends before them, or holds what is no label.
   */
  read(entry: LabelEntry, first: number, frames: number): Promise<{ labels: Int32Array; bytes: Buffer }>;
  close(): Promise<void>;
}

/** Opens the shards of a folder of labels as they are read. */
export function openLabelReader(folder: string, manifest: Manifest): LabelReader {
  const shards = openShards(folder);
  return {
    async read(entry, first, frames) {
      const offset = entry.offset + entryBytes(manifest.header, first);
      const bytes = await shards.read(entry.shard, offset, entryBytes(manifest.header, frames));
      return { labels: decodeLabels(manifest, entry, bytes, first), bytes };
    },
    close: () => shards.close(),
  };
}
