/**
 * The bytes of an array as the GPU's queue may read them: a multiple of four, padded with zeros. Memory that other threads can write (SharedArrayBuffer) or that
 * can change its size is copied first: Dawn's Node binding ends the process when it is handed such memory.
 *
 * @throws TypeError when the array's memory was transferred away or has shrunk from under it.
 */
export function hostBytes(operation: string, data: ArrayBufferView): Uint8Array<ArrayBuffer> {
  checkReadable(operation, data);
  const { buffer, byteOffset, byteLength } = data;
  const plain = buffer instanceof ArrayBuffer && !(buffer as { resizable?: boolean }).resizable;
  const bytes = new Uint8Array(buffer, byteOffset, byteLength);
  if (plain && byteLength % 4 === 0) return bytes as Uint8Array<ArrayBuffer>;
  const copy = new Uint8Array(Math.ceil(byteLength / 4) * 4);
  copy.set(bytes);
  return copy;
}

/**
 * Arrays whose memory has gone claim to be empty; their methods tell.
 *
 * @throws TypeError when the array's memory was transferred away or has shrunk from under it.
 */
export function checkReadable(operation: string, data: ArrayBufferView): void {
  if (!ArrayBuffer.isView(data)) throw new TypeError(`${operation}: expected a typed array, got ${typeof data}`);
  try {
    if (data instanceof DataView) void data.byteLength;
    else (data as Uint8Array).keys();
  } catch {
    throw new TypeError(
      `${operation}: the array's memory is gone: its buffer was transferred (to a worker, or by transfer()) or shrunk`,
    );
  }
}
