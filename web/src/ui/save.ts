declare global {
  interface Window {
    /** Only in some browsers, and only over HTTPS or on this machine. */
    showSaveFilePicker?: (options: { suggestedName: string }) => Promise<FileSystemFileHandle>;
  }
}

/** Gives the reader a file: text made here, or what the server sent. */
export function save(name: string, content: string | Blob, type: string): void {
  const url = URL.createObjectURL(new Blob([content], { type }));
  const a = document.createElement("a");
  a.href = url;
  a.download = name;
  a.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** Reads the body of an answer, until the signal says stop. */
export type Read = (signal: AbortSignal) => Promise<ReadableStream<Uint8Array> | null>;

/**
 * Gives the reader a file as the server sends it, and tells how many bytes have come. Where
 * the browser can, it goes straight to the disk, to the place that the reader chooses.
 */
export async function saveStream(
  name: string,
  read: Read,
  told: (bytes: number) => void,
  signal: AbortSignal,
): Promise<void> {
  const file = await window.showSaveFilePicker?.({ suggestedName: name });
  let bytes = 0;
  const counted = new TransformStream<Uint8Array, Uint8Array<ArrayBuffer>>({
    transform(chunk, out) {
      bytes += chunk.byteLength;
      told(bytes);
      out.enqueue(chunk as Uint8Array<ArrayBuffer>);
    },
  });
  const body = (await read(signal))?.pipeThrough(counted, { signal }) ?? new Blob().stream();
  if (file) await body.pipeTo(await file.createWritable(), { signal });
  else save(name, await new Response(body).blob(), "text/csv");
}
