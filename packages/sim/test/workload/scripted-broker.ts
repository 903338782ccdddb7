import type { ByteStream } from '@millrace/base'
import { SeededRandom } from '@millrace/host'
import { type Api, ApiVersionsApi, APIS, decodeRequest, type DecodedRequest, encodeResponse } from '@millrace/protocol'
import { createSchedule, type SimSchedule } from '../../src/kernel/schedule.ts'
import { CALM, createNetwork, type SimNetwork } from '../../src/network/sim-network.ts'
import { Draw } from '../../src/run/draw.ts'
import type { Life } from '../../src/seams.ts'
import { FrameReader } from '../../src/workload/frame-reader.ts'
import { WireConnection } from '../../src/workload/wire.ts'

const AT = { host: 'broker', port: 9092 }

/** A broker that answers ApiVersions and leaves everything else to the test, and a client that is connected to it. */
export class ScriptedBroker {
  readonly schedule: SimSchedule = createSchedule(new SeededRandom('wire'), { longTurnPercent: 0 })
  readonly network: SimNetwork
  readonly life: Life
  readonly client: Life
  readonly connection: WireConnection
  readonly requests: DecodedRequest[] = []
  readonly told: string[] = []
  stream: ByteStream | null = null

  constructor() {
    const { schedule } = this
    this.network = createNetwork({ schedule, random: new SeededRandom('wire network') }, CALM)
    this.life = schedule.newLife('broker#1')
    this.client = schedule.newLife('client-1')
    this.network.streams('broker', this.life).listen(
      AT,
      (stream) => this.accept(stream),
      () => undefined,
    )
    this.pass(10_000)
    this.connection = new WireConnection(
      7,
      AT,
      {
        schedule,
        streams: this.network.streams('client-1', this.client),
        life: this.client,
        draw: new Draw(new SeededRandom('wire draws')),
        clientId: 'client-1',
        requestTimeoutUs: 1_000_000,
      },
      { ready: () => this.told.push('ready'), closed: () => this.told.push('closed') },
    )
    this.pass(100_000)
  }

  /** Lets virtual time pass. */
  pass(us: number): void {
    const until = this.schedule.nowUs + us
    while (this.schedule.step(until));
    this.schedule.pass(until)
  }

  /** Answers the request at this place of those that came. */
  answer<R>(at: number, api: Api<unknown, R>, value: R): void {
    const { header } = this.requests[at] as DecodedRequest
    this.stream?.write(encodeResponse(api, header.apiVersion, header.correlationId, value))
  }

  private accept(stream: ByteStream): ReturnType<Parameters<ReturnType<SimNetwork['streams']>['listen']>[1]> {
    this.stream = stream
    const frames = new FrameReader((frame) => this.take(decodeRequest(frame)))
    return {
      opened: () => undefined,
      data: (chunk) => frames.push(chunk),
      drained: () => undefined,
      closed: (why) => this.told.push(`broker: ${why}`),
    }
  }

  private take(request: DecodedRequest): void {
    this.requests.push(request)
    if (request.header.api !== ApiVersionsApi) return
    this.answer(this.requests.length - 1, ApiVersionsApi, {
      errorCode: 0,
      apiKeys: APIS.map(({ key, advertised: [minVersion, maxVersion] }) => ({ apiKey: key, minVersion, maxVersion })),
      throttleTimeMs: 0,
      supportedFeatures: [],
      finalizedFeaturesEpoch: -1,
      finalizedFeatures: [],
      zkMigrationReady: false,
    })
  }
}
