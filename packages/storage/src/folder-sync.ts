import type { Disk, Done } from '@millrace/base'

/** Syncs of one folder, shared: whoever asks while one runs waits for the next, which covers all of them. */
export class FolderSync {
  private readonly disk: Disk
  private readonly path: string
  private waiting: Done<void>[] = []
  private running = false

  constructor(disk: Disk, path: string) {
    this.disk = disk
    this.path = path
  }

  /** `done` once every change of a name that was made before this call is on disk. */
  sync(done: Done<void>): void {
    this.waiting.push(done)
    if (!this.running) this.begin()
  }

  private begin(): void {
    const served = this.waiting
    this.waiting = []
    this.running = true
    this.disk.syncDir(this.path, (error) => {
      this.running = false
      if (this.waiting.length > 0) this.begin()
      for (const done of served) done(error)
    })
  }
}
