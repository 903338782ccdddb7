/**
 * Runs a node's callback. What it throws becomes an uncaught exception of its own: inside the transport's promises and event handlers it
 * would be mistaken for a failure of the stream.
 */
export function runOwn(callback: () => void): void {
  try {
    callback()
  } catch (error) {
    process.nextTick(() => {
      throw error
    })
  }
}
