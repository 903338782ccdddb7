import { type ClusterOptions, withClient } from '../connect.ts'
import { printJson } from '../output.ts'

/** Succeeds when the node answers and its cluster has a controller and brokers. */
export async function health(options: ClusterOptions): Promise<void> {
  await withClient(options, async ({ admin }) => {
    const { clusterId, controllerId, brokers } = await admin.describeCluster()
    if (options.json === true) printJson({ clusterId, controllerId, brokers: brokers.length })
    else process.stdout.write(`Cluster ${clusterId}: ${brokers.length} brokers serve clients.\n`)
  })
}
