import { readSmallFile, replaceSmallFile, type Disk, type Done } from '@millrace/base'

const NAME = 'broker-epoch'

/**
 * The epoch of the last incarnation, written at a clean stop. Told at the next registration it proves that nothing was lost in
 * between, so it counts only where the directories' clean markers say the same.
 */
export function writeBrokerEpoch(disk: Disk, folder: string, epoch: number, done: Done<void>): void {
  replaceSmallFile(disk, folder, NAME, new TextEncoder().encode(`${epoch}\n`))(done)
}

/** The epoch that the file holds, or -1 where there is none. */
export function readBrokerEpoch(disk: Disk, folder: string, done: (epoch: number) => void): void {
  readSmallFile(disk, `${folder}/${NAME}`, (error, content) => {
    const text = error === null && content !== null ? new TextDecoder().decode(content).trim() : ''
    done(/^\d{1,15}$/.test(text) ? Number(text) : -1)
  })
}
