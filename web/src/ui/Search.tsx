import { useAddress } from "./address";
import { Typed } from "./Typed";

interface Props {
  placeholder: string;
  width?: number;
  max?: number; // characters
}

/** The search of a list, kept in the address. */
export function Search({ placeholder, width = 280, max }: Props) {
  const [params, change] = useAddress();
  return (
    <Typed
      label="Search"
      value={params.get("q") ?? ""}
      onChange={(q) => change({ q })}
      placeholder={placeholder}
      width={width}
      max={max}
      search
    />
  );
}
