import type { Disk, Done, IoError } from '@millrace/base'

const NAME = 'broker-epoch'

/**
 * The epoch of the last incarnation, written at a clean stop. Told at the next registration it proves that nothing was lost in
 * between, so it counts only where the directories' clean markers say the same.
 */
export function writeBrokerEpoch(disk: Disk, folder: string, epoch: number, done: Done<void>): void {
  const temporary = `${folder}/${NAME}.tmp`
  const text = new TextEncoder().encode(`${epoch}\n`)
  disk.open(temporary, 'create', (error, file) => {
    if (error !== null) return done(error)
    try {
      file.appendNow([text])
    } catch (failure) {
      return file.close(() => done(failure as IoError))
    }
    file.sync((syncError) =>
      file.close((closeError) => {
        if (syncError !== null || closeError !== null) return done(syncError ?? closeError)
        disk.rename(temporary, `${folder}/${NAME}`, (renameError) =>
          renameError === null ? disk.syncDir(folder, done) : done(renameError),
        )
      }),
    )
  })
}

/** The epoch that the file holds, or -1 where there is none. */
export function readBrokerEpoch(disk: Disk, folder: string, done: (epoch: number) => void): void {
  disk.open(`${folder}/${NAME}`, 'read', (error, file) => {
    if (error !== null) return done(-1)
    const bytes = new Uint8Array(Math.min(file.size, 64))
    file.read(0, bytes, (readError, count) =>
      file.close(() => {
        const text = new TextDecoder().decode(bytes.subarray(0, readError === null ? count : 0)).trim()
        done(/^\d{1,15}$/.test(text) ? Number(text) : -1)
      }),
    )
  })
}
