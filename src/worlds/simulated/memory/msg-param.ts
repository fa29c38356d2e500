import type { PhysicalAddress } from '../../../protocol/physical-memory.js';
import { pageSize } from '../../../protocol/physical-memory.js';
import { Mobj } from './mobj.js';
import type { NonSecureMemory } from './non-secure-memory.js';

/** Entries per page of a page list; the last one, not counted here, links to the next page of the list. */
const entriesPerListPage = pageSize / 8 - 1;

/**
 * The memory that an OPTEE_MSG_ATTR_NONCONTIG parameter describes: msg_param_mobj_from_noncontig(). `pointer` is the
 * address of a list of page addresses. Its offset in its page is the offset of the buffer in the first page.
 * @returns undefined if the list or a listed page is outside the allowed memory, or the size is impossible.
 */
export function mobjFromNoncontig(
  memory: NonSecureMemory,
  pointer: PhysicalAddress,
  size: number,
  cookie: number,
): Mobj | undefined {
  const pageOffset = pointer % pageSize;
  // A size of 0 at offset 0 underflows to 2^52 pages in OP-TEE, which then runs out of memory; so does a size beyond
  // DRAM.
  const pageCount = Math.ceil((size + pageOffset) / pageSize);
  if (!(pageCount >= 1 && pageCount * pageSize <= memory.dram.size)) return undefined;
  const pages = extractPages(memory, pointer - pageOffset, pageCount);
  return pages === undefined ? undefined : Mobj.registered(memory, pages, pageOffset, cookie);
}

function extractPages(
  memory: NonSecureMemory,
  list: PhysicalAddress,
  pageCount: number,
): readonly PhysicalAddress[] | undefined {
  const pages: PhysicalAddress[] = [];
  let listPage = list;
  while (pages.length < pageCount) {
    if (listPage % pageSize !== 0 || !memory.isNonSecure(listPage, pageSize)) return undefined;
    // Copied once: the normal world can write the list during the read.
    const entries = new DataView(memory.window(listPage, pageSize).slice().buffer);
    const count = Math.min(entriesPerListPage, pageCount - pages.length);
    for (let index = 0; index < count; index++) pages.push(addressAt(entries, index));
    listPage = addressAt(entries, entriesPerListPage);
  }
  return pages;
}

/** A 64-bit entry. It is inexact above 2^53, where there is no memory. */
function addressAt(entries: DataView, index: number): PhysicalAddress {
  return entries.getUint32(index * 8 + 4, true) * 0x1_0000_0000 + entries.getUint32(index * 8, true);
}
