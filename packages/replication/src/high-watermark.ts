import type { FollowerSession } from './session.ts'

/**
 * Below which offset every member of the maximal ISR, the leader included, promised to hold the records; -1 while a member has not
 * spoken in this leader epoch. Followers about to join hold it back too, though they do not carry it.
 */
export function commonPromise(ownPromisedEnd: number, followers: readonly FollowerSession[]): number {
  let common = ownPromisedEnd
  for (const follower of followers)
    if ((follower.counted || follower.joining) && follower.durableEnd < common) common = follower.durableEnd
  return common
}
