import { Page } from "../../ui/Page";

export function Component() {
  return <Page title="Login">{null}</Page>;
}
