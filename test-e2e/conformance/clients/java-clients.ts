import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ProcessAdapter } from '../core/adapter.ts'
import type { ClientSpec } from '../core/client.ts'
import { cached, has, HERE, step } from '../core/install.ts'

const JACKSON = 'com.fasterxml.jackson.core:jackson-databind:2.21.2'
const SOURCES = join(HERE, 'adapters', 'java')
/** Small heaps and the fast compiler: these programs live for seconds. */
export const JAVA_OPTIONS = ['-Xmx256m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-Xshare:auto']

/** What Java needs of the machine; the text says what is missing. */
export async function missingJava(needs: { compiler?: boolean; jars: boolean }): Promise<string | null> {
  if (!(await has('java', '-version'))) return 'this machine has no java'
  if (needs.compiler === true && !(await has('javac', '-version'))) return 'this machine has no javac (a JDK)'
  return !needs.jars || (await has('mvn', '--version')) ? null : 'this machine has no mvn to bring the jars with'
}

/** A folder of the cache with these artifacts (group:name:version) and all that they need at run time. */
export function jars(
  name: string,
  artifacts: readonly string[],
  extra?: (folder: string) => Promise<void>,
): Promise<string> {
  const contents = [...artifacts, extra === undefined ? '' : sources().join('\n')].join('\n')
  return cached(name, contents, async (folder) => {
    const pom = join(folder, 'pom.xml')
    writeFileSync(pom, pomOf(artifacts))
    const copy = ['dependency:copy-dependencies', `-DoutputDirectory=${join(folder, 'lib')}`, '-DincludeScope=runtime']
    await step('mvn', ['-q', '-B', '-f', pom, ...copy])
    await extra?.(folder)
  })
}

function pomOf(artifacts: readonly string[]): string {
  const dependencies = artifacts.map((artifact) => {
    const [group, name, version] = artifact.split(':')
    return `<dependency><groupId>${group}</groupId><artifactId>${name}</artifactId><version>${version}</version></dependency>`
  })
  const own =
    '<modelVersion>4.0.0</modelVersion><groupId>local</groupId><artifactId>jars</artifactId><version>1</version>'
  return `<project>${own}<packaging>pom</packaging><dependencies>${dependencies.join('')}</dependencies></project>\n`
}

function sources(): string[] {
  return readdirSync(SOURCES).map((file) => readFileSync(join(SOURCES, file), 'utf8'))
}

function javaClient(version: string): ClientSpec['install'] {
  return async () => {
    const missing = await missingJava({ compiler: true, jars: true })
    if (missing !== null) return missing
    // The library logs through slf4j; without a binding it says so once and is silent.
    const artifacts = [`org.apache.kafka:kafka-clients:${version}`, JACKSON, 'org.slf4j:slf4j-nop:1.7.36']
    const folder = await jars(`java-${version}`, artifacts, async (folder) => {
      const files = readdirSync(SOURCES).map((file) => join(SOURCES, file))
      await step('javac', ['-nowarn', '-d', join(folder, 'classes'), '-cp', join(folder, 'lib', '*'), ...files])
    })
    const path = `${join(folder, 'classes')}:${join(folder, 'lib', '*')}`
    const program = { command: 'java', args: [...JAVA_OPTIONS, '-cp', path, 'Adapter'] }
    return { start: (bootstrap) => new ProcessAdapter(program, bootstrap) }
  }
}

export const java39: ClientSpec = {
  name: 'java-3.9',
  version: '3.9.1',
  habits: {},
  lacks: {},
  install: javaClient('3.9.1'),
}

export const java4: ClientSpec = {
  name: 'java-4',
  version: '4.3.1',
  habits: {},
  lacks: {},
  install: javaClient('4.3.1'),
}
