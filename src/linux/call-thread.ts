import { workerData } from 'node:worker_threads';
import { spinUntil } from '../clock/bounded-spin.js';
import { argAt, bufDataAt, CallSlot, SlotNumber, SlotOperation, SlotWord, slotAsked, slotIdle } from './call-slot.js';
import { addressOf, closeFile, ioctl, mapNothing, mapShared, type Outcome, threadId } from './system-calls.js';

/** A thread that makes blocking calls, one at a time. */
const slot = new CallSlot(workerData as SharedArrayBuffer);
const { words, numbers } = slot;
const start = addressOf(new Uint8Array(slot.memory));
const argAddress = start + argAt;
const bufDataAddress = start + bufDataAt;
const bufData = new DataView(slot.memory, bufDataAt);
bufData.setBigUint64(0, BigInt(argAddress), true);
words[SlotWord.threadId] = threadId();

function make(operation: SlotOperation): Outcome {
  const fd = words[SlotWord.descriptor] ?? -1;
  const request = numbers[SlotNumber.request] ?? 0;
  const size = numbers[SlotNumber.size] ?? 0;
  switch (operation) {
    case SlotOperation.ioctl:
      return ioctl(fd, request, argAddress);
    case SlotOperation.ioctlBuffer:
      // The upper half of its 64 bits stays zero.
      bufData.setUint32(8, size, true);
      return ioctl(fd, request, bufDataAddress);
    case SlotOperation.map:
      return mapShared(fd, size);
    case SlotOperation.close:
      return closeFile(fd);
    case SlotOperation.unshare: {
      const replaced = mapNothing(request, size);
      const closed = closeFile(fd);
      return replaced.result === -1 ? replaced : closed;
    }
  }
}

const isAsked = () => Atomics.load(words, SlotWord.asked) === slotAsked;

/** The caller checks whether this thread sleeps after it has written the request, so one of the two sees the other's write. */
function sleep(): void {
  Atomics.store(words, SlotWord.threadSleeps, 1);
  while (!isAsked()) Atomics.wait(words, SlotWord.asked, slotIdle);
  Atomics.store(words, SlotWord.threadSleeps, 0);
}

// Read once: in Node the global is a getter.
const { performance } = globalThis;
let spinMs = 0;
for (;;) {
  if (!spinUntil(isAsked, spinMs)) sleep();
  spinMs = (words[SlotWord.followMicroseconds] ?? 0) / 1000;
  const began = performance.now();
  const { result, errno } = make(words[SlotWord.operation] as SlotOperation);
  numbers[SlotNumber.took] = performance.now() - began;
  numbers[SlotNumber.result] = result;
  words[SlotWord.errno] = errno;
  Atomics.store(words, SlotWord.asked, slotIdle);
  Atomics.add(words, SlotWord.answered, 1);
  if (Atomics.load(words, SlotWord.askerSleeps) === 1) Atomics.notify(words, SlotWord.answered);
}
