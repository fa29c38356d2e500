import type { PhysicalAddress } from '../protocol/physical-memory.js';
import { pageSize } from '../protocol/physical-memory.js';

/** Addresses per page of a page list; the last word links to the next page. */
const entriesPerPage = pageSize / 8 - 1;

/** Size of the list for `pageCount` pages, in bytes, rounded up to whole pages. */
export function pageListSize(pageCount: number): number {
  return Math.ceil(pageCount / entriesPerPage) * pageSize;
}

/**
 * Write a page list for OPTEE_MSG_ATTR_NONCONTIG: per 4 KiB page 511 addresses and a link to the list's next page.
 * Source: optee_msg.h, OPTEE_MSG_ATTR_NONCONTIG.
 * @param list memory of `pageListSize(pages.length)` bytes at the physical address `address`.
 */
export function writePageList(list: Uint8Array, address: PhysicalAddress, pages: readonly PhysicalAddress[]): void {
  const view = new DataView(list.buffer, list.byteOffset, list.byteLength);
  pages.forEach((page, index) => {
    const listPage = Math.floor(index / entriesPerPage);
    view.setBigUint64(listPage * pageSize + (index % entriesPerPage) * 8, BigInt(page), true);
    if (index % entriesPerPage === 0 && listPage > 0)
      view.setBigUint64(listPage * pageSize - 8, BigInt(address + listPage * pageSize), true);
  });
}
