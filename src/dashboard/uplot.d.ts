/** UPLOT: the name under which the page imports the charts. The build puts uPlot's own ES module in its place, so that the
 *  browser needs neither a bundle nor an import map. */
export { default } from 'uplot';
