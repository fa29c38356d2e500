/**
 * Detects a file of another kind that was given as OP-TEE's image by mistake. Returns a text that says what it is and
 * which file is needed; undefined if it is not of a known kind.
 */
export function foreignImage(file: Uint8Array): string | undefined {
  if (startsWith(file, 0, 0x7f, 0x45, 0x4c, 0x46)) return elf(file);
  for (const [offset, bytes, what] of signatures) if (startsWith(file, offset, ...bytes)) return what;
  const start = file.subarray(0, 4096);
  if (isText(start)) return text(start);
  const [first] = start;
  if (first !== undefined && start.length >= 64 && start.every((byte) => byte === first))
    return `begins with ${start.length} bytes 0x${first.toString(16).padStart(2, '0')}: an erased or empty image`;
  if (isArm32(file))
    return 'is a 32-bit core (AArch32 instructions): build it with CFG_ARM64_core=y, PLATFORM=vexpress-qemu_armv8a';
  return undefined;
}

const signatures: readonly (readonly [offset: number, bytes: readonly number[], what: string])[] = [
  [0, [0xd0, 0x0d, 0xfe, 0xed], 'is a device tree (or a FIT image)'],
  [
    0,
    [0x48, 0x53, 0x54, 0x4f],
    "is a signed trusted application: put it into a folder for --ta or openTee's taFolders",
  ],
  [56, [0x41, 0x52, 0x4d, 0x64], 'is an arm64 kernel image of Linux'],
  [0, [0x27, 0x05, 0x19, 0x56], 'is an image for U-Boot (uImage)'],
  [
    0,
    [0x01, 0x00, 0x64, 0xaa],
    'is a firmware package (FIP): take OP-TEE out of it, or give tee-pager_v2.bin of the build',
  ],
  [0, [0x1f, 0x8b], 'is compressed by gzip: unpack it'],
  [0, [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00], 'is compressed by xz: unpack it'],
  [0, [0x28, 0xb5, 0x2f, 0xfd], 'is compressed by zstd: unpack it'],
  [0, [0x42, 0x5a, 0x68], 'is compressed by bzip2: unpack it'],
  [0, [0x50, 0x4b, 0x03, 0x04], 'is a ZIP archive: unpack it'],
  [0, [0x21, 0x3c, 0x61, 0x72, 0x63, 0x68, 0x3e, 0x0a], 'is an archive (a library or a Debian package): unpack it'],
  [257, [0x75, 0x73, 0x74, 0x61, 0x72], 'is a tar archive: unpack it'],
  [0, [0x4d, 0x5a], 'is a program for UEFI or Windows (PE)'],
];

function startsWith(file: Uint8Array, offset: number, ...bytes: readonly number[]): boolean {
  return file.length >= offset + bytes.length && bytes.every((byte, index) => file[offset + index] === byte);
}

/** Values of e_machine in elf.h. */
const machines = new Map([
  [3, 'x86'],
  [40, '32-bit Arm'],
  [62, 'x86-64'],
  [183, 'AArch64'],
  [243, 'RISC-V'],
]);

function elf(file: Uint8Array): string {
  const machine = machines.get((file[18] ?? 0) | ((file[19] ?? 0) << 8));
  return `is an ELF file${machine === undefined ? '' : ` for ${machine}`}: OP-TEE's build puts tee-pager_v2.bin next to tee.elf; use that`;
}

/** Whether the bytes are printable ASCII, line ends, tabs, or UTF-8. */
function isText(start: Uint8Array): boolean {
  if (start.length === 0) return false;
  if (start.some((byte) => byte === 0x7f || (byte < 0x20 && !(byte >= 0x09 && byte <= 0x0d)))) return false;
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(start, { stream: true });
    return true;
  } catch {
    return false;
  }
}

function text(start: Uint8Array): string {
  const beginning = new TextDecoder().decode(start.subarray(0, 200)).trimStart();
  if (beginning.startsWith('/dts-v1/')) return 'is the source of a device tree';
  if (beginning.startsWith('version https://git-lfs'))
    return 'is a pointer of Git LFS: fetch the file with git lfs pull';
  if (beginning.startsWith('#!')) return 'is a script';
  if (beginning.startsWith('<')) return 'is HTML or XML, perhaps from a failed download';
  return 'is a text file';
}

/** Nearly every A32 instruction has condition 14 (always) in its highest four bits. In A64 this value is rare there. */
function isArm32(file: Uint8Array): boolean {
  const looked = 16;
  if (file.length < 4 * looked) return false;
  let always = 0;
  for (let index = 0; index < looked; index++) if ((file[4 * index + 3] ?? 0) >> 4 === 0xe) always++;
  return always >= looked - 2;
}
