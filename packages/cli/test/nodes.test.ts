import { createClient } from '@millrace/client'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import { ended, run, start } from './command.ts'

/** A port that is free, and whose peer port is: the system gives ports from the upper half. */
async function freePort(): Promise<number> {
  for (let port = 21_000 + Math.floor(Math.random() * 20_000); ; port++) {
    const taken = await Promise.all([port, port + 10_000].map((each) => isTaken(each)))
    if (!taken.includes(true)) return port
  }
}

function isTaken(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer()
    probe.once('error', () => resolve(true))
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(false)))
  })
}

describe('millrace dev', () => {
  it('says when it is ready, has records to read, and stops at Ctrl-C with 0', async () => {
    const port = await freePort()
    const child = start('dev', '--json', '--port', String(port))
    const [line] = (await once(child.stdout, 'data')) as [Buffer]
    expect(JSON.parse(line.toString())).toMatchObject({ ready: true, bootstrap: `127.0.0.1:${port}`, topic: 'hello' })
    const read = await run(['consume', 'hello', '-e', '-b', `127.0.0.1:${port}`])
    expect(read.stdout).toContain('Welcome to Millrace.')
    const end = ended(child)
    child.kill('SIGINT')
    expect((await end).code).toBe(0)
  })

  it('names the port that is taken and the flag that changes it', async () => {
    const blocker = createServer()
    await new Promise<void>((resolve) => blocker.listen(0, '127.0.0.1', resolve))
    const { port } = blocker.address() as { port: number }
    const { code, stderr } = await run(['dev', '--port', String(port)])
    blocker.close()
    expect(stderr).toMatch(new RegExp(`Port ${port} on 127.0.0.1 cannot be used[^]*--port`))
    expect(code).toBe(1)
  })
})

describe('millrace server', () => {
  it('runs a node from a properties file and stops in order at SIGTERM', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'millrace-cli-'))
    const port = await freePort()
    const file = join(folder, 'server.properties')
    const lines = [
      'process.roles=broker,controller',
      'node.id=1',
      `controller.quorum.voters=1@127.0.0.1:${port + 10_000}`,
      `listeners=PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${port + 10_000}`,
      'controller.listener.names=CONTROLLER',
      'listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
      `log.dirs=${join(folder, 'data')}`,
    ]
    writeFileSync(file, lines.join('\n'))
    const child = start('server', '--config', file)
    const end = ended(child)
    const client = createClient({ bootstrap: [`127.0.0.1:${port}`] })
    await client.admin.waitForBrokers(1)
    await client.close()
    child.kill('SIGTERM')
    expect((await end).code).toBe(0)
    rmSync(folder, { recursive: true })
  })

  it('names every problem of the file with its line', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'millrace-cli-'))
    const file = join(folder, 'server.properties')
    writeFileSync(file, 'process.roles=broker,controller\nnode.id=many\nno.such.key=1\n')
    const { code, stderr } = await run(['server', '--config', file])
    rmSync(folder, { recursive: true })
    expect(stderr).toContain(`${file}:2: `)
    expect(stderr).toContain(`${file}:3: `)
    expect(code).toBe(1)
  })

  it('needs a file that is there', async () => {
    expect((await run(['server'])).code).toBe(2)
    const missing = await run(['server', '--config', '/nowhere/server.properties'])
    expect(missing.stderr).toContain('/nowhere/server.properties cannot be read')
    expect(missing.code).toBe(1)
  })
})
