declare module 'snappyjs' {
  const snappyjs: {
    /** Compresses to a raw snappy block. */
    compress(bytes: Uint8Array): Uint8Array
    uncompress(bytes: Uint8Array, maxLength?: number): Uint8Array
  }
  export default snappyjs
}
