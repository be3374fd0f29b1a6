package portaltest;

import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.context.support.IValidationSupport;
import ca.uhn.fhir.jpa.api.config.JpaStorageSettings;
import ca.uhn.fhir.jpa.api.dao.IFhirSystemDao;
import ca.uhn.fhir.jpa.provider.IJpaSystemProvider;
import ca.uhn.fhir.jpa.provider.JpaCapabilityStatementProvider;
import ca.uhn.fhir.jpa.search.DatabaseBackedPagingProvider;
import ca.uhn.fhir.rest.api.EncodingEnum;
import ca.uhn.fhir.rest.server.HardcodedServerAddressStrategy;
import ca.uhn.fhir.rest.server.RestfulServer;
import ca.uhn.fhir.rest.server.provider.ResourceProviderFactory;
import ca.uhn.fhir.rest.server.util.ISearchParamRegistry;
import java.net.InetSocketAddress;
import org.eclipse.jetty.ee10.servlet.ServletContextHandler;
import org.eclipse.jetty.ee10.servlet.ServletHolder;
import org.eclipse.jetty.server.Server;
import org.springframework.context.ApplicationContext;
import org.springframework.context.annotation.AnnotationConfigApplicationContext;

/** Serves FHIR R4 at http://127.0.0.1:PORT/fhir until the process is ended. The one argument is the port. */
public final class FhirServer {
    private FhirServer() {}

    public static void main(String[] arguments) throws Exception {
        int port = Integer.parseInt(arguments[0]);
        ApplicationContext beans = new AnnotationConfigApplicationContext(Storage.class);

        ServletHolder servlet = new ServletHolder(servlet(beans, "http://127.0.0.1:" + port + "/fhir"));
        servlet.setInitOrder(0);
        ServletContextHandler site = new ServletContextHandler("/");
        site.addServlet(servlet, "/fhir/*");

        Server web = new Server(new InetSocketAddress("127.0.0.1", port));
        web.setHandler(site);
        web.setStopAtShutdown(true);
        web.start();
        web.join();
    }

    private static RestfulServer servlet(ApplicationContext beans, String address) {
        RestfulServer fhir = new RestfulServer(beans.getBean(FhirContext.class));
        fhir.setServerAddressStrategy(new HardcodedServerAddressStrategy(address));
        fhir.setDefaultResponseEncoding(EncodingEnum.JSON);
        fhir.setPagingProvider(beans.getBean(DatabaseBackedPagingProvider.class));
        fhir.registerProviders(beans.getBean(ResourceProviderFactory.class).createProviders());
        fhir.registerProvider(beans.getBean(IJpaSystemProvider.class));
        fhir.setServerConformanceProvider(new JpaCapabilityStatementProvider(
                fhir,
                beans.getBean(IFhirSystemDao.class),
                beans.getBean(JpaStorageSettings.class),
                beans.getBean(ISearchParamRegistry.class),
                beans.getBean(IValidationSupport.class)));
        return fhir;
    }
}
