/**
 * Work on a folder in its turn. A topic that is deleted and made again has the same folder name at once, so that what makes, moves and
 * replaces folders of one name must not overlap.
 */
export class FolderTurns {
  private readonly waiting = new Map<string, (() => void)[]>()

  /** Runs `task` once nothing else works on the name; the next one's turn comes when `ended` is called. */
  run(name: string, task: (ended: () => void) => void): void {
    const begin = (): void => task(() => this.next(name))
    const queue = this.waiting.get(name)
    if (queue !== undefined) return void queue.push(begin)
    this.waiting.set(name, [])
    begin()
  }

  private next(name: string): void {
    const begin = this.waiting.get(name)?.shift()
    if (begin === undefined) this.waiting.delete(name)
    else begin()
  }
}
