/**
 * A row of columns, each one pixel wide, that is drawn as a whole. A zoomed-out lane has thousands of them: drawing each
 * as a rectangle takes longer than a frame.
 */
export class PixelColumns {
  private readonly canvas = document.createElement('canvas');
  private readonly context = this.canvas.getContext('2d', { willReadFrequently: true });
  private image: ImageData | undefined;
  private pixels = new Uint32Array(0);
  private first = Number.POSITIVE_INFINITY;
  private last = -1;

  /** @param width number of columns. */
  begin(width: number): void {
    const count = Math.max(1, Math.ceil(width));
    if (this.image?.width !== count) {
      this.canvas.width = count;
      this.canvas.height = 1;
      this.image = new ImageData(count, 1);
      this.pixels = new Uint32Array(this.image.data.buffer);
    }
    this.pixels.fill(0);
    this.first = Number.POSITIVE_INFINITY;
    this.last = -1;
  }

  /** @param pixel a value of `pixelOf`. */
  set(column: number, pixel: number): void {
    if (column < 0 || column >= this.pixels.length) return;
    this.pixels[column] = pixel;
    if (column < this.first) this.first = column;
    if (column > this.last) this.last = column;
  }

  draw(onto: CanvasRenderingContext2D, y: number, height: number): void {
    const { context, image, first, last } = this;
    if (context === null || image === undefined || last < first) return;
    context.putImageData(image, 0, 0);
    const smooth = onto.imageSmoothingEnabled;
    onto.imageSmoothingEnabled = false;
    onto.drawImage(this.canvas, first, 0, last - first + 1, 1, first, y, last - first + 1, height);
    onto.imageSmoothingEnabled = smooth;
  }
}

const littleEndian = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1;

/**
 * A colour as a pixel of an image.
 *
 * @param colour `#rrggbb`.
 * @param alpha 0 to 1.
 */
export function pixelOf(colour: string, alpha: number): number {
  const rgb = Number.parseInt(colour.slice(1), 16);
  const [red, green, blue] = [rgb >>> 16, (rgb >>> 8) & 0xff, rgb & 0xff];
  const opacity = Math.round(alpha * 255);
  return littleEndian
    ? ((opacity << 24) | (blue << 16) | (green << 8) | red) >>> 0
    : ((red << 24) | (green << 16) | (blue << 8) | opacity) >>> 0;
}
