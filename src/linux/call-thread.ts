import { workerData } from 'node:worker_threads';
import { argAt, bufDataAt, CallSlot, SlotOperation, SlotWide, SlotWord, slotAsked, slotIdle } from './call-slot.js';
import { addressOf, closeFile, ioctl, mapNothing, mapShared, type Outcome } from './system-calls.js';

/** A thread that makes one call after the other, each of which may block. */
const slot = new CallSlot(workerData as SharedArrayBuffer);
const { words, wide } = slot;
const start = addressOf(new Uint8Array(slot.memory));
const bufData = new DataView(slot.memory, bufDataAt);
const argAddress = start + BigInt(argAt);

function make(operation: SlotOperation): Outcome {
  const fd = words[SlotWord.descriptor] ?? -1;
  const request = Number(wide[SlotWide.request]);
  const size = Number(wide[SlotWide.size]);
  switch (operation) {
    case SlotOperation.ioctl:
      return ioctl(fd, request, argAddress);
    case SlotOperation.ioctlBuffer:
      bufData.setBigUint64(0, argAddress, true);
      bufData.setBigUint64(8, BigInt(size), true);
      return ioctl(fd, request, start + BigInt(bufDataAt));
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

for (;;) {
  Atomics.wait(words, SlotWord.asked, slotIdle);
  if (Atomics.load(words, SlotWord.asked) !== slotAsked) continue;
  const { result, errno } = make(words[SlotWord.operation] as SlotOperation);
  wide[SlotWide.result] = BigInt(result);
  words[SlotWord.errno] = errno;
  Atomics.store(words, SlotWord.asked, slotIdle);
  Atomics.add(words, SlotWord.answered, 1);
  Atomics.notify(words, SlotWord.answered);
}
