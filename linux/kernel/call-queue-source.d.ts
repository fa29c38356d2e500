export function replaceCallQueue(
  driver: ReadonlyMap<string, string>,
  queue: ReadonlyMap<string, string>,
): Map<string, string>;
