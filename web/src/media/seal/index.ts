import { scriptURL } from '../policy'
import type { MakeSealing } from '../sealing'
import { SealClient } from './client'
import address from './worker.ts?worker&url'

export { SealClient }

/** Makes the sealing of one page instance: a worker of its own, with keys that never leave it. */
export const makeSealing: MakeSealing = ({ hearing, member, trust }) => {
  const worker = new Worker(scriptURL(address), { type: 'module', name: 'kuule-seal' })
  const { device_roots, recorder_roots, statement_key, also_statement_keys = [], backup_key } = trust
  const pinned = { device_roots, recorder_roots, statement_key, also_statement_keys, ...(backup_key === undefined ? {} : { backup_key }) }
  return SealClient.start(worker, { hearing, member, pinned })
}
