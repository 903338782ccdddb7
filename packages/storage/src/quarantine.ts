import { replaceSmallFile, type World } from '@millrace/base'
import { QUARANTINED } from './file-names.ts'

/** Writes down that a log is not to be trusted, so that a later start does not have to meet the same rot to know. */
export function markQuarantined(world: World, folder: string, reason: string): void {
  const write = replaceSmallFile(world.disk, folder, QUARANTINED, new TextEncoder().encode(reason))
  write((error) => {
    if (error !== null) world.log.warn({ path: folder, error }, 'quarantine not written down')
  })
}
