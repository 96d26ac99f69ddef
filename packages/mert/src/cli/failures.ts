const words: Record<string, string> = {
  ENOENT: 'there is no such file or folder',
  ENOTDIR: 'a part of this path is a file, where a folder is expected',
  EEXIST: 'is there already',
  EISDIR: 'is a folder, where a file is expected',
  EACCES: 'may not be read or written; look at its permissions',
  EPERM: 'may not be changed; look at its permissions',
  EROFS: 'lies on a file system that is read-only; choose another place',
  ENOSPC: 'the disk or quota is full; free some space or choose another place',
  EMFILE: 'too many files are open; raise the limit (ulimit -n)',
};

/** What an error says to people: its own words, and for the system's own errors the path and what is wrong with it. */
export function failureText(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code = '', path, syscall, message } = error as NodeJS.ErrnoException;
  if (syscall === undefined || words[code] === undefined) return message;
  return `${path === undefined ? '' : `${path}: `}${words[code]} (${code}, ${syscall})`;
}
