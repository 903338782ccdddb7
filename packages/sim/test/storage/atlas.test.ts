import { describe, expect, test } from 'vitest'
import { createAtlas } from '../../src/storage/atlas.ts'

const THREE = {
  brokers: [1, 2, 3],
  voters: [1, 2, 3],
  minInsyncReplicas: 2,
  failures: true,
  beyondRepair: false,
}

describe('The atlas of faults', () => {
  test('lets one of three nodes be damaged at a time, as often as it likes', () => {
    const atlas = createAtlas(THREE)
    expect([1, 2, 3].map((node) => atlas.mayDamage(node))).toEqual([true, true, true])
    atlas.damaged(2)
    expect([1, 2, 3].map((node) => atlas.mayDamage(node))).toEqual([false, true, false])
    expect(atlas.damagedNodes).toEqual([2])
    atlas.recovered(2)
    expect(atlas.mayDamage(1)).toBe(true)
    expect(atlas.expectsHalt).toBe(false)
  })

  test('keeps a majority of the voters whole where the brokers are others', () => {
    const atlas = createAtlas({ ...THREE, brokers: [4, 5, 6], voters: [1, 2, 3, 7, 8] })
    atlas.damaged(1)
    atlas.damaged(4)
    atlas.damaged(2)
    expect([3, 7, 8, 5, 6].map((node) => atlas.mayDamage(node))).toEqual([false, false, false, false, false])
    expect(atlas.expectsHalt).toBe(false)
  })

  test('lets nothing be damaged where what is committed may be on one disk only', () => {
    const atlas = createAtlas({ ...THREE, minInsyncReplicas: 1 })
    expect(atlas.mayDamage(1)).toBe(false)
    const alone = createAtlas({ ...THREE, brokers: [4, 5], voters: [1], minInsyncReplicas: 2 })
    expect([alone.mayDamage(1), alone.mayDamage(4)]).toEqual([false, true])
  })

  test('of a run that goes too far lets anything happen, and then expects a halt', () => {
    const atlas = createAtlas({ ...THREE, beyondRepair: true })
    atlas.damaged(1)
    expect(atlas.expectsHalt).toBe(false)
    expect(atlas.mayDamage(2)).toBe(true)
    atlas.damaged(2)
    expect(atlas.expectsHalt).toBe(true)
    atlas.recovered(2)
    expect(atlas.expectsHalt).toBe(true)
  })

  test('says whether calls may fail', () => {
    expect(createAtlas(THREE).mayFail(1)).toBe(true)
    expect(createAtlas({ ...THREE, failures: false }).mayFail(1)).toBe(false)
  })
})
