/**
 * A cpio archive in the "newc" format, which Linux unpacks as its initramfs
 * (Documentation/driver-api/early-userspace/buffer-format.rst).
 */

const header = (fields) => `070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}`;
const folderMode = 0o040755;
const fileMode = 0o100755;

/**
 * @param {Map<string, Buffer>} files by absolute path; parent folders are added.
 * @param {readonly string[]} emptyFolders further folders.
 * @returns {Buffer}
 */
export function initramfs(files, emptyFolders) {
  const entries = new Map();
  const addFolders = (path) => {
    const parts = path.split('/').filter((part) => part !== '');
    for (let depth = 1; depth <= parts.length; depth++) entries.set(parts.slice(0, depth).join('/'), undefined);
  };
  for (const folder of emptyFolders) addFolders(folder);
  for (const [path, content] of files) {
    addFolders(path.slice(0, path.lastIndexOf('/')));
    entries.set(path.slice(1), content);
  }
  let inode = 0;
  const pieces = [...entries].map(([name, content]) => entry(name, ++inode, content));
  return Buffer.concat([...pieces, entry('TRAILER!!!', 0, undefined, 0)]);
}

function entry(name, inode, content, mode = content === undefined ? folderMode : fileMode) {
  const data = content ?? Buffer.alloc(0);
  const fields = [inode, mode, 0, 0, 1, 0, data.length, 0, 0, 0, 0, name.length + 1, 0];
  return Buffer.concat([padded(Buffer.from(`${header(fields)}${name}\0`)), padded(data)]);
}

/** Headers with names, and data, are padded to a multiple of 4 bytes. */
function padded(buffer) {
  return Buffer.concat([buffer, Buffer.alloc((4 - (buffer.length % 4)) % 4)]);
}
