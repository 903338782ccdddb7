import { Command, InvalidArgumentError, Option } from 'commander'
import { failWith } from './failure.ts'

const DEFAULT_BOOTSTRAP = '127.0.0.1:9092'

/** Runs one command; ends with exit code 1 and a sentence on standard error when it fails, 2 when it was not understood. */
export async function runCommandLine(argv: readonly string[]): Promise<void> {
  const program = new Command('millrace')
    .description('Event streaming: an ordered, replicated log that speaks Kafka’s protocol.')
    .version('0.1.0')
    .showHelpAfterError('(millrace --help lists the commands)')
    .exitOverride()
  addServer(program)
  addDev(program)
  addTopic(program)
  addProduce(program)
  addConsume(program)
  addGroup(program)
  addHealth(program)
  try {
    await program.parseAsync(argv)
  } catch (error) {
    failWith(error)
  }
}

function whole(text: string): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 0) throw new InvalidArgumentError('a whole number is needed')
  return value
}

function integer(text: string): number {
  const value = Number(text)
  if (!Number.isSafeInteger(value) || text.trim() === '')
    throw new InvalidArgumentError('a number without fraction is needed')
  return value
}

function collect(text: string, before: readonly string[] = []): readonly string[] {
  return [...before, text]
}

function withCluster(command: Command): Command {
  return command
    .addOption(
      new Option('-b, --bootstrap <host:port,...>', 'brokers to start from')
        .env('MILLRACE_BOOTSTRAP')
        .default(DEFAULT_BOOTSTRAP),
    )
    .option('--json', 'print JSON, one value a line')
}

function addServer(program: Command): void {
  program
    .command('server')
    .description('run one node from a server.properties')
    .requiredOption('-c, --config <file>', 'the properties file; the keys are Kafka’s')
    .option('--override <key=value>', 'a setting that replaces the file’s; may be repeated', collect)
    .option('--pretty', 'log lines for people instead of JSON')
    .action(async (options) => (await import('./commands/server.ts')).server(options))
}

function addDev(program: Command): void {
  program
    .command('dev')
    .description('run a cluster on this machine, ready in about a second')
    .option('-n, --nodes <count>', 'how many nodes; more than one means one process each', whole, 1)
    .option('-p, --port <port>', 'the first node’s port; the others follow', whole, 9092)
    .option('--data <folder>', 'keep the data in this folder')
    .option('--topic <name>', 'the first topic', 'hello')
    .option('--json', 'print what is ready as one line of JSON')
    .option('--verbose', 'show the nodes’ log lines')
    .action(async (options) => (await import('./commands/dev.ts')).dev(options))
}

function addTopic(program: Command): void {
  const topic = program.command('topic').description('create, list, describe, alter, reassign and delete topics')
  const load = () => import('./commands/topic.ts')
  withCluster(topic.command('create <name>'))
    .description('create a topic')
    .option('-p, --partitions <count>', 'number of partitions (the broker’s num.partitions)', whole)
    .option(
      '-r, --replication-factor <count>',
      'copies of each partition (the broker’s default.replication.factor)',
      whole,
    )
    .option('--config <key=value>', 'a setting of the topic; may be repeated', collect)
    .option('--if-not-exists', 'do nothing when the topic is there')
    .action(async (name, options) => (await load()).createTopic(name, options))
  withCluster(topic.command('list'))
    .description('list the topics')
    .option('--internal', 'with the internal ones')
    .action(async (options) => (await load()).listTopics(options))
  withCluster(topic.command('describe <name>'))
    .description('show partitions, replicas, offsets and settings')
    .action(async (name, options) => (await load()).describeTopic(name, options))
  withCluster(topic.command('alter <name>'))
    .description('change settings, or raise the number of partitions')
    .option('-p, --partitions <count>', 'the new total', whole)
    .option('--config <key=value>', 'set; may be repeated', collect)
    .option('--delete-config <key>', 'back to the default; may be repeated', collect)
    .action(async (name, options) => (await load()).alterTopic(name, options))
  withCluster(topic.command('reassign [name]'))
    .description('move partitions to other brokers, or list what is being moved')
    .option('--partition <n=brokers>', 'to these brokers, the first to lead, as 0=1,2,3; may be repeated', collect)
    .option('--brokers <ids>', 'all partitions, or each --partition N, to these brokers in turn')
    .option('--cancel', 'take back all that is under way, or each --partition N')
    .option('--wait', 'return when the copies are made')
    .action(async (name, options) => (await import('./commands/reassign.ts')).reassign(name, options))
  withCluster(topic.command('delete <name>'))
    .description('delete a topic with its records')
    .action(async (name, options) => (await load()).deleteTopic(name, options))
}

function addProduce(program: Command): void {
  withCluster(program.command('produce <topic>'))
    .description('write records: one for each line of standard input that is not empty, or --value')
    .option('-v, --value <text>', 'one record instead of standard input')
    .option('-k, --key <text>', 'the key of --value')
    .option('-H, --header <key=value>', 'a header of every record; may be repeated', collect)
    .option('-K, --key-separator <text>', 'lines are key, this, value')
    .option('-p, --partition <number>', 'instead of the one that the key chooses', whole)
    .addOption(
      new Option('--acks <acks>', 'wait for all in-sync replicas, the leader or nobody')
        .choices(['all', '1', '0'])
        .default('all'),
    )
    .addOption(
      new Option('-z, --compression <codec>', 'compress batches')
        .choices(['none', 'gzip', 'snappy', 'lz4', 'zstd'])
        .default('none'),
    )
    .action(async (topic, options) => (await import('./commands/produce.ts')).produce(topic, options))
}

function addConsume(program: Command): void {
  withCluster(program.command('consume <topic>'))
    .description('read records, without a group')
    .option('-p, --partition <number>', 'one partition instead of all', whole)
    .option(
      '-f, --from <where>',
      'earliest, latest, offset:N, milliseconds since 1970, or a time such as 2026-01-31T12:00:00Z',
      'earliest',
    )
    .option('-e, --until-end', 'stop after the records that are there now')
    .option('-c, --count <number>', 'stop after so many records', whole)
    .option('-K, --key-separator <text>', 'print key, this, value')
    .action(async (topic, options) => (await import('./commands/consume.ts')).consume(topic, options))
}

function addGroup(program: Command): void {
  const group = program.command('group').description('list, describe, watch, reset and delete consumer groups')
  withCluster(group.command('list'))
    .description('list the groups of consumers')
    .option('--state [states]', 'with their states; stable,empty: those only')
    .option('--type [types]', 'with their types; classic,consumer: those only')
    .option('--others', 'with the groups of programs that are no consumers, such as Kafka Connect’s')
    .action(async (options) => (await import('./commands/group.ts')).listGroups(options))
  withCluster(group.command('describe [groups...]'))
    .description('show the offsets and the lag of groups')
    .option('--all', 'all groups')
    .option('--members', 'the members instead')
    .option('--state', 'the state instead')
    .option('--verbose', 'with epochs and assignments')
    .action(async (groups, options) => (await import('./commands/group-describe.ts')).describeGroups(groups, options))
  withCluster(group.command('delete <groups...>'))
    .description('delete groups without members, with their offsets')
    .action(async (groups, options) => (await import('./commands/group.ts')).deleteGroups(groups, options))
  addGroupLag(group)
  addGroupReset(group)
}

function addGroupLag(group: Command): void {
  const load = () => import('./commands/group-lag.ts')
  const http = ['--http <host:port,...>', 'HTTP endpoints of nodes, instead of those that the brokers tell of'] as const
  withCluster(group.command('lag [groups...]'))
    .description('show how far groups are behind, in records and time, and when retention overtakes them')
    .option(...http)
    .action(async (groups, options) => (await load()).groupLag(groups, options))
  withCluster(group.command('rebalances <group>'))
    .description('show why a group rebalanced lately, how long it took, and what moved')
    .option('--moves', 'with the partitions that moved, and from whom to whom')
    .option(...http)
    .action(async (name, options) => (await load()).groupRebalances(name, options))
}

function addGroupReset(group: Command): void {
  withCluster(group.command('reset-offsets <group>'))
    .description('let a group without members go on somewhere else')
    .option('--topic <name[:0,1]>', 'a topic, or some of its partitions; may be repeated', collect)
    .option('--all-topics', 'all that the group has committed')
    .option('--to-earliest', 'to the first record')
    .option('--to-latest', 'to the end')
    .option('--to-current', 'to where it is; to the end where nothing is committed')
    .option('--to-offset <offset>', 'to this offset', whole)
    .option('--shift-by <count>', 'by so many offsets, back with a minus', integer)
    .option('--by-duration <duration>', 'to the first record since so long ago, such as PT1H or P1DT2H30M')
    .option('--to-datetime <time>', 'to the first record since 2026-01-31T12:00:00Z, for example')
    .option('--from-file <file>', 'to what the lines topic,partition,offset say; the group may stand before')
    .option('--dry-run', 'show what would be done, change nothing')
    .option('--execute', 'do it, which is the default; Kafka’s own tool wants it said')
    .option('--export', 'print lines for --from-file')
    .action(async (name, options) => (await import('./commands/group-reset.ts')).resetOffsets(name, options))
}

function addHealth(program: Command): void {
  withCluster(program.command('health'))
    .description('exit with 0 when the node serves clients')
    .action(async (options) => (await import('./commands/health.ts')).health(options))
}
