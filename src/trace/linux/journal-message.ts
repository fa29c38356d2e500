/** Fields of a structured log line that have the message: journald, Docker, and others. */
const fields = ['MESSAGE', 'message', 'msg', 'log'] as const;
const longestLine = 100_000;

/** The message of a line of a structured log (`journalctl -o json`), or the line itself. */
export function journalMessage(line: string): string {
  if (!/^\s*\{.*\}\s*$/.test(line) || line.length > longestLine) return line;
  let entry: unknown;
  try {
    entry = JSON.parse(line);
  } catch {
    return line;
  }
  for (const field of fields) {
    const message = (entry as Readonly<Record<string, unknown>>)[field];
    if (typeof message === 'string') return message.trimEnd();
    // journald prints a message with control characters as numbers.
    if (Array.isArray(message) && message.every((octet) => Number.isInteger(octet)))
      return new TextDecoder().decode(Uint8Array.from(message));
  }
  return line;
}
