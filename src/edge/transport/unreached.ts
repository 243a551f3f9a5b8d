/** The place was never reached: whatever was to be sent, no byte of it was read there. */
export class Unreached extends Error {
  constructor(why: unknown) {
    super(why instanceof Error ? why.message : String(why), { cause: why });
    this.name = 'Unreached';
  }
}
