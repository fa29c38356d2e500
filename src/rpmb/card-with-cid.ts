import type { RpmbDevice } from './rpmb-device.js';

const hex = (octets: Uint8Array) => [...octets].map((octet) => octet.toString(16).padStart(2, '0')).join('');

/**
 * Select a card by its CID, like tee-supplicant's option `--rpmb-cid`.
 * @param cid card identification, 16 octets.
 * @throws RangeError naming the available cards.
 */
export function cardWithCid<Card extends RpmbDevice>(cards: readonly Card[], cid: Uint8Array): Card {
  const found = cards.find((card) => hex(card.cid) === hex(cid));
  if (found === undefined)
    throw new RangeError(
      `no card has the identification ${hex(cid)}; there ${cards.length === 1 ? 'is' : 'are'} ${cards.map((card) => hex(card.cid)).join(', ') || 'none'}`,
    );
  return found;
}
