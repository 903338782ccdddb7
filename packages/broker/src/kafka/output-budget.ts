const MIB = 1024 * 1024
/** What one fetch may gather when the output is backed up: enough to go on, too little to make it worse. */
const LITTLE_BYTES = MIB

/**
 * The record bytes on their way out over all connections of a listener: being read, answered, or written and not taken by the socket.
 * Nothing is refused; fetches gather less while it is used up, which slows down whoever does not keep up.
 */
export class OutputBudget {
  private readonly limit: number
  private held = 0

  constructor(limit: number) {
    this.limit = limit
  }

  get used(): number {
    return this.held
  }

  add(bytes: number): void {
    this.held += bytes
  }

  take(bytes: number): void {
    this.held -= bytes
  }

  /** The most that a fetch that asks for `bytes` may gather now. */
  room(bytes: number): number {
    return this.held + bytes <= this.limit ? bytes : Math.min(bytes, LITTLE_BYTES)
  }
}
