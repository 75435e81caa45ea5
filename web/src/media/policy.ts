/** Trusted Types are not in TypeScript's DOM yet (https://w3c.github.io/trusted-types/). */
interface Policies {
  createPolicy(name: string, rules: { createScriptURL: (address: string) => string }): { createScriptURL(address: string): string }
}

const { trustedTypes } = globalThis as { trustedTypes?: Policies }

/**
 * The one policy that the pages' content security policy allows. It lets
 * through what belongs to the signed bundle's scripts, and nothing else.
 */
const policy = trustedTypes?.createPolicy('kuule', {
  createScriptURL: (address) => {
    const url = new URL(address, location.href)
    if (url.origin !== location.origin || !url.pathname.startsWith('/assets/')) throw new TypeError(`${url.pathname} is no script of this bundle`)
    return url.href
  },
})

/** Makes the address of a bundled worker acceptable to `new Worker`. */
export function scriptURL(address: string): string {
  return policy === undefined ? address : policy.createScriptURL(address)
}
