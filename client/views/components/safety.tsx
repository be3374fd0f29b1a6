// Safety numbers, as people read them out.

/** A safety number, in the groups in which people read it out. */
export function SafetyGroups({ groups }: { readonly groups: readonly string[] }) {
  return <p class="safety figures" translate={false}>{groups.map((group, index) => <span key={index}>{group}</span>)}</p>;
}
