import { IoError, type Timer, type World } from '@millrace/base'

/** Removes what was renamed out of the way, some time after its name was taken from it, so that open readers finish. */
export class Reaper {
  private readonly world: World
  private readonly timers = new Set<Timer>()
  private ended = false

  constructor(world: World) {
    this.world = world
  }

  removeLater(paths: readonly string[], delayMs: number): void {
    if (this.ended) return
    const timer = this.world.timers.after(delayMs * 1000, () => {
      this.timers.delete(timer)
      for (const path of paths) this.remove(path)
    })
    this.timers.add(timer)
  }

  /** What is not removed yet is removed at the next start. */
  end(): void {
    this.ended = true
    for (const timer of this.timers) timer.cancel()
    this.timers.clear()
  }

  private remove(path: string): void {
    this.world.disk.remove(path, (error) => {
      if (error === null || error.code === 'ENOENT') return
      this.world.log.warn({ path, error }, 'deleted file not removed, the next start tries again')
    })
  }

  /** Takes the name from a file; one that does not exist is left out. Throws `IoError`. */
  renameAway(path: string, suffix: string): string | null {
    try {
      this.world.disk.renameNow(path, path + suffix)
      return path + suffix
    } catch (error) {
      if (error instanceof IoError && error.code === 'ENOENT') return null
      throw error
    }
  }
}
