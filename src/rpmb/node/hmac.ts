import { createHmac } from 'node:crypto';
import type { Hmac } from '../rpmb-device.js';

/** HMAC-SHA256 from Node. */
export const hmacSha256: Hmac = (key, data) => {
  const hmac = createHmac('sha256', key);
  for (const part of data) hmac.update(part);
  return hmac.digest();
};
