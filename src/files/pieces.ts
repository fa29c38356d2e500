/**
 * The pieces of a file as they are read, up to a limit. The length that the system reports is not enough: a file in /proc or
 * /sys has length 0, and a file that is being written can grow during the read.
 */
export class Pieces {
  private readonly pieces: Buffer[] = [];
  private length = 0;

  /**
   * @param most octets.
   * @param tooLong the error for more than that.
   */
  constructor(
    private readonly most: number,
    private readonly tooLong: () => Error,
  ) {}

  /** @returns false at the end of the file. @throws the error for a file that is too long. */
  take(piece: Buffer): boolean {
    if (piece.length === 0) return false;
    this.length += piece.length;
    if (this.length > this.most) throw this.tooLong();
    this.pieces.push(piece);
    return true;
  }

  whole(): Buffer {
    return this.pieces.length === 1 ? (this.pieces[0] as Buffer) : Buffer.concat(this.pieces, this.length);
  }
}
