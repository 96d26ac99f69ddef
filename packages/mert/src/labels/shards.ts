import type { Hash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { type FileHandle, open, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { LabelError, type LabelsHeader, shardName } from './manifest.ts';

/** [frames, codebooks] as the bytes of a shard. @throws LabelError when a label is outside its codebook. */
export function encodeLabels({ teacher, bytesPerLabel }: LabelsHeader, labels: Int32Array, firstFrame: number): Buffer {
  const { codebooks } = teacher;
  const bytes = Buffer.alloc(labels.length * bytesPerLabel);
  for (let i = 0; i < labels.length; i++) {
    const codebook = i % codebooks.length;
    if (!(labels[i] >= 0 && labels[i] < codebooks[codebook])) {
      throw new LabelError(
        `teacher ${teacher.name} gave label ${labels[i]} in codebook ${codebook} of ${codebooks[codebook]} at frame ` +
          `${firstFrame + Math.floor(i / codebooks.length)}`,
      );
    }
    if (bytesPerLabel === 1) bytes[i] = labels[i];
    else bytes.writeUInt16LE(labels[i], 2 * i);
  }
  return bytes;
}

export async function writeAt(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    done += (await file.write(bytes, done, bytes.length - done, position + done)).bytesWritten;
  }
}

/** The place in the shards where the next labels go. */
export class Shards {
  readonly #folder: string;
  readonly #limit: number;
  #shard: number;
  #end: number;
  #file: FileHandle | undefined;

  constructor(folder: string, shardBytes: readonly number[], limit: number) {
    this.#folder = folder;
    this.#limit = limit;
    this.#shard = shardBytes.length - 1;
    this.#end = shardBytes[this.#shard];
  }

  /** Cuts off what lies behind the last entry, in this shard and in later ones. */
  async cut(): Promise<void> {
    for (const name of await readdir(this.#folder)) {
      const number = /^labels-(\d{5,})\.bin$/.exec(name)?.[1];
      if (number !== undefined && Number(number) > this.#shard) await rm(join(this.#folder, name));
    }
    await (await this.#open()).truncate(this.#end);
  }

  async #goTo(shard: number, end: number): Promise<void> {
    if (shard !== this.#shard) await this.close();
    this.#shard = shard;
    this.#end = end;
    await this.cut();
  }

  async #open(): Promise<FileHandle> {
    const path = join(this.#folder, shardName(this.#shard));
    this.#file ??= await open(path, existsSync(path) ? 'r+' : 'wx+');
    return this.#file;
  }

  /**
   * Writes what `labels` gives, `bytes` in all, and brings it to the disk. When that fails nothing of it stays.
   */
  async append(labels: AsyncIterable<Buffer>, bytes: number, hash: Hash): Promise<{ shard: number; offset: number }> {
    const before = { shard: this.#shard, end: this.#end };
    let at = this.#end;
    try {
      if (this.#end > 0 && this.#end + bytes > this.#limit) {
        await this.#goTo(this.#shard + 1, 0);
        at = 0;
      }
      const file = await this.#open();
      for await (const part of labels) {
        hash.update(part);
        await writeAt(file, part, at);
        at += part.length;
      }
      await file.datasync();
    } catch (error) {
      // The next file goes where it would have gone without this one.
      await this.#goTo(before.shard, before.end);
      throw error;
    }
    const place = { shard: this.#shard, offset: this.#end };
    this.#end = at;
    return place;
  }

  async close(): Promise<void> {
    await this.#file?.close();
    this.#file = undefined;
  }
}
