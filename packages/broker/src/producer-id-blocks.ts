import { ErrorCode } from '@millrace/base'
import {
  initIdempotentProducer,
  type InitProducerIdAnswer,
  ProducerIds,
  type ProducerIdentity,
} from '@millrace/transactions'
import type { ControllerLink } from './seams.ts'

/** The producer ids that this broker gives out. A block is asked for when somebody wants an id and few are left: most brokers never need a second. */
export class ProducerIdBlocks {
  private readonly controller: Pick<ControllerLink, 'allocateProducerIds'>
  private readonly ids = new ProducerIds()

  constructor(controller: Pick<ControllerLink, 'allocateProducerIds'>) {
    this.controller = controller
  }

  /** InitProducerId without a transactional id. Until there is a block clients are told to come back, and the next one of them asks again. */
  init(identity: ProducerIdentity): InitProducerIdAnswer {
    const answer = initIdempotentProducer(identity, this.ids)
    if (this.ids.wanted) this.ask()
    return answer
  }

  private ask(): void {
    this.ids.asking()
    this.controller.allocateProducerIds((error, first, count) => {
      if (error === ErrorCode.NONE) this.ids.add(first, count)
      else this.ids.failed()
    })
  }
}
