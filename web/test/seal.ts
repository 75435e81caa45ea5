import type * as signed from '../src/api/signed'
import type * as words from '../src/api/words'
import type { InForce, MakeSealing } from '../src/media/sealing'

/**
 * Stands in for sealing where the pages themselves are tested: messages are
 * plain JSON and nothing is encrypted. Only `vite build --mode journey` knows it.
 */
export const makeSealing: MakeSealing = ({ member }) => {
  let inForce: InForce = { epoch: 0, chair: member, members: [], sas: '' }
  const frames = { sealed: 0, opened: 0, refused: 0 }
  return Promise.resolve({
    keys: { hpke: 'stand-in', sign: 'stand-in' },
    begin: () => Promise.resolve(),
    addMember: (statement) => {
      const { member: named, kind, seats } = JSON.parse(statement) as { member: words.MemberID; kind: string; seats?: number }
      return Promise.resolve({ member: named, recorder: kind === 'recorder', seats: seats ?? 0, nameIs: () => Promise.resolve(true) })
    },
    forget: () => Promise.resolve(),
    applyRoster: (roster) => {
      inForce = JSON.parse(roster) as InForce
      return Promise.resolve(inForce)
    },
    signRoster: (members) => {
      inForce = { epoch: inForce.epoch + 1, chair: member, members, sas: '482915' }
      return Promise.resolve({ roster: JSON.stringify(inForce), inForce })
    },
    wraps: () => Promise.resolve([]),
    acceptWrap: () => Promise.resolve(),
    acceptHeartbeat: (text) => Promise.resolve(JSON.parse(text) as signed.Heartbeat),
    backup: () => Promise.resolve([]),
    origins: () => Promise.resolve([]),
    seal: () => undefined,
    open: () => undefined,
    assign: () => undefined,
    setClock: () => undefined,
    setLevel: () => undefined,
    levels: () => Promise.resolve([]),
    counts: () => {
      frames.sealed += 65
      frames.opened += 195
      return Promise.resolve({ ...frames })
    },
    close: () => undefined,
  })
}
