import { Page } from "../../ui/Page";

export function Component() {
  return <Page title="TaskPage">{null}</Page>;
}
