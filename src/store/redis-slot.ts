/**
 * The slot of a cluster that a hash tag falls into: CRC-16/XMODEM mod 16 384.
 * Source: redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec.
 */
export function slotOf(tag: string): number {
  let crc = 0
  for (const byte of new TextEncoder().encode(tag)) {
    crc ^= byte << 8
    for (let bit = 0; bit < 8; bit++) crc = (crc & 0x8000) === 0 ? crc << 1 : (crc << 1) ^ 0x1021
  }
  return (crc & 0xffff) % 16_384
}
