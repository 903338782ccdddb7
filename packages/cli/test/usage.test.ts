import { describe, expect, it } from 'vitest'
import { run } from './command.ts'

describe('the command line', () => {
  it('lists its commands with --help, and tells its version', async () => {
    const help = await run(['--help'])
    expect(help.code).toBe(0)
    for (const name of ['server', 'dev', 'topic', 'produce', 'consume', 'group', 'health'])
      expect(help.stdout).toMatch(new RegExp(`^  ${name} `, 'm'))
    const version = await run(['--version'])
    expect(version).toMatchObject({ code: 0, stdout: '0.1.0\n', stderr: '' })
  })

  it.each([
    [['nonsense'], /unknown command 'nonsense'/],
    [['consume'], /missing required argument 'topic'/],
    [['consume', 't', '--nonsense'], /unknown option '--nonsense'/],
    [['consume', 't', '--count', 'many'], /a whole number is needed/],
    [['produce', 't', '--acks', '2'], /Allowed choices are all, 1, 0/],
    [['consume', 't', '--from', 'yesterday'], /"yesterday" is no place to begin[^]*Give earliest, latest, offset:N/],
    [['consume', 't', '--from', 'offset:99999999999999999999'], /is no place to begin/],
    [['produce', 't', '--key', 'k'], /--key needs --value/],
    [['topic', 'create', 't', '--config', 'nothing'], /"nothing" is not key=value/],
    [['topic', 'alter', 't'], /There is nothing to change[^]*Name --partitions/],
    [['group', 'describe'], /Which groups[^]*millrace group list/],
    [['group', 'describe', 'g', '--members', '--state'], /two questions/],
    [['group', 'list', '--state', 'stable,asleep'], /"asleep" is unknown[^]*Stable, Empty/],
    [['group', 'delete'], /missing required argument 'groups'/],
    [['group', 'reset-offsets', 'g', '--all-topics'], /Where to[^]*--to-earliest/],
    [['group', 'reset-offsets', 'g', '--to-latest'], /Of which topics[^]*--all-topics/],
    [['group', 'reset-offsets', 'g', '--to-latest', '--all-topics', '--topic', 't'], /Of which topics/],
    [['group', 'reset-offsets', 'g', '--to-latest', '--to-earliest', '--all-topics'], /more than one place/],
    [['group', 'reset-offsets', 'g', '--to-latest', '--topic', 't:1,x'], /"t:1,x" is no topic/],
    [['group', 'reset-offsets', 'g', '--to-offset', '-1', '--all-topics'], /a whole number is needed/],
    [['group', 'reset-offsets', 'g', '--shift-by', '1.5', '--all-topics'], /without fraction/],
    [['group', 'reset-offsets', 'g', '--by-duration', 'PT', '--all-topics'], /"PT" is no duration[^]*PT2H30M/],
    [['group', 'reset-offsets', 'g', '--to-datetime', 'monday', '--all-topics'], /"monday" is no time/],
    [['group', 'reset-offsets', 'g', '--from-file', '/nowhere/at/all'], /no such file/],
    [['group', 'reset-offsets', 'g', '--to-latest', '--all-topics', '--dry-run', '--execute'], /contradict/],
    [['topic', 'list', '-b', 'nowhere'], /--bootstrap: "nowhere" is not host:port[^]*127.0.0.1:9092/],
    [['topic', 'list', '-b', ','], /--bootstrap: no bootstrap address/],
  ])('ends %j with 2 and says what is wrong', async (args, problem) => {
    const { code, stdout, stderr } = await run(args)
    expect(stderr).toMatch(problem)
    expect(stderr).not.toMatch(/\n\s+at /)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
  })

  it.each([
    ['topic', 'list'],
    ['group', 'list'],
    ['group', 'describe', 'g'],
    ['health'],
    ['consume', 't'],
    ['produce', 't', '--value', 'x'],
  ])('tells %s that no cluster is there, and how to get one', async (...args) => {
    const { code, stdout, stderr } = await run([...args, '-b', '127.0.0.1:1'])
    expect(stderr).toContain('could not connect to 127.0.0.1:1')
    expect(stderr).toContain('millrace dev')
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
  })
})
